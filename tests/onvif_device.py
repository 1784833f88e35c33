"""An ONVIF camera for tests: answers WS-Discovery like one, and its SOAP requests, digest login included.

Runs as a process of its own, in the network namespace of the test: python tests/onvif_device.py ADDRESS USER PASSWORD
"""

import base64
import hashlib
import re
import socket
import struct
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GROUP, PORT = "239.255.255.250", 3702

ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"
 xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl"
 xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema"
 xmlns:ter="http://www.onvif.org/ver10/error">{header}<s:Body>{body}</s:Body></s:Envelope>"""

MATCH_HEADER = """<s:Header><a:MessageID>urn:uuid:{number}</a:MessageID><a:RelatesTo>{relates_to}</a:RelatesTo>
<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>
<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</a:Action></s:Header>"""

MATCH = """<d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:camera-1</a:Address>
</a:EndpointReference><d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>
<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Front%20Door
 onvif://www.onvif.org/hardware/IPC-1234 onvif://www.onvif.org/location/%1Bya%07rd%C2%9B</d:Scopes>
<d:XAddrs>http://{address}:8000/onvif/device_service</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>
</d:ProbeMatch></d:ProbeMatches>"""

TIME = """<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>
<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime><tt:Time><tt:Hour>{now.hour}</tt:Hour>
<tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year>
<tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime>
</tds:GetSystemDateAndTimeResponse>"""

SERVICES = """<tds:GetServicesResponse><tds:Service><tds:Namespace>http://www.onvif.org/ver10/media/wsdl</tds:Namespace>
<tds:XAddr>http://{address}:8000/onvif/media</tds:XAddr><tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor>
</tds:Version></tds:Service></tds:GetServicesResponse>"""

PROFILE = """<trt:Profiles token="{token}" fixed="true"><tt:Name>{token}</tt:Name>
<tt:VideoEncoderConfiguration token="e"><tt:Name>e</tt:Name><tt:UseCount>1</tt:UseCount>
<tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width>
<tt:Height>{height}</tt:Height></tt:Resolution><tt:Quality>4</tt:Quality><tt:RateControl>
<tt:FrameRateLimit>15</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>2048</tt:BitrateLimit>
</tt:RateControl><tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address>
<tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>
<tt:SessionTimeout>PT10S</tt:SessionTimeout></tt:VideoEncoderConfiguration></trt:Profiles>"""

PROFILES = (
    "<trt:GetProfilesResponse>"
    + PROFILE.format(token="main", width=1920, height=1080)
    + PROFILE.format(token="sub", width=640, height=360)
    + "</trt:GetProfilesResponse>"
)

STREAM = """<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>rtsp://{address}:554/{token}</tt:Uri>
<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>
<tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:GetStreamUriResponse>"""

FAULT = """<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode>
<s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code>
<s:Reason><s:Text xml:lang="en">Sender not Authorized</s:Text></s:Reason></s:Fault>"""


def answer_probes(address: str, ready: threading.Event) -> None:
    inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inbox.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    inbox.bind(("", PORT))
    membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address))
    inbox.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    ready.set()
    for number in range(1000):
        request, asker = inbox.recvfrom(65535)
        message_id = re.search(rb"MessageID>([^<]+)<", request)
        if b"/Probe<" not in request or message_id is None:
            continue
        # What else is in such a network: nonsense, and a device that is no camera.
        inbox.sendto(b"\x00nonsense", asker)
        header = MATCH_HEADER.format(number=number, relates_to=message_id[1].decode())
        match = MATCH.format(address=address)
        printer = match.replace("dn:NetworkVideoTransmitter", "tds:Printer").replace("camera-1", "printer")
        for body in (printer, match):
            inbox.sendto(
                ENVELOPE.format(header=header.replace("uuid:", f"uuid:{body is match}-"), body=body).encode(), asker
            )


class Device(BaseHTTPRequestHandler):
    """The SOAP services."""

    address = user = password = ""

    def do_POST(self) -> None:
        request = self.rfile.read(int(self.headers["Content-Length"])).decode()
        body = request.partition("Body>")[2]
        if "GetSystemDateAndTime" in body:
            self._reply(200, TIME.format(now=datetime.now(UTC)))
        elif not self._is_allowed(request):
            self._reply(400, FAULT)
        elif "GetServices" in body:
            self._reply(200, SERVICES.format(address=self.address))
        elif "GetProfiles" in body:
            self._reply(200, PROFILES)
        elif token := re.search(r"ProfileToken>(\w+)<", body):
            self._reply(200, STREAM.format(address=self.address, token=token[1]))
        else:
            self._reply(400, FAULT.replace("Sender not Authorized", "Action not implemented"))

    def _is_allowed(self, request: str) -> bool:
        parts = {
            name: re.search(rf"{name}[^>]*>([^<]+)<", request) for name in ("Username", "Password", "Nonce", "Created")
        }
        if not all(parts.values()):
            return False
        user, digest, nonce, created = (match[1] for match in parts.values() if match)
        secret = base64.b64decode(nonce) + created.encode() + self.password.encode()
        known = hashlib.sha1(secret, usedforsecurity=False).digest()  # the digest of WS-Security's UsernameToken
        return user == self.user and base64.b64decode(digest) == known

    def _reply(self, status: int, body: str) -> None:
        text = ENVELOPE.format(header="", body=body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    Device.address, Device.user, Device.password = sys.argv[1:4]
    ready = threading.Event()
    threading.Thread(target=answer_probes, args=(Device.address, ready), daemon=True).start()
    with ThreadingHTTPServer((Device.address, 8000), Device) as server:
        ready.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
