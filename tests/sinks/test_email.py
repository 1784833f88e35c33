from collections.abc import Iterator

import pytest
from PIL import Image

from tests.certificates import Certificates
from tests.event_builders import a_life, a_message
from tests.mail import MailServer
from tests.ports import free_port
from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.protocols import BatchSink
from xclip_stream.sinks.email import EmailSink
from xclip_stream.sinks.tls import TlsFiles
from xclip_stream.types import Phase


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def a_sink(server: MailServer, **options: object) -> EmailSink:
    values = {"url": f"smtp://127.0.0.1:{server.port}", "sender": "cameras@example.org", "to": ["ops@example.org"]}
    return EmailSink(**(values | options))


def test_one_mail_tells_of_all_that_happened_in_words(server):
    messages = [*a_life("e1"), *a_life("e2", source_id="gate", severity="warning")]
    sink = a_sink(server, to=["ops@example.org", "night@example.org"])

    with sink:
        sink.deliver_all(messages)

    (mail,) = server.mails
    assert isinstance(sink, BatchSink)
    assert mail["Subject"] == "4 messages: climbing at yard, climbing at gate"
    assert (mail["From"], mail["To"]) == ("cameras@example.org", "ops@example.org, night@example.org")
    assert server.recipients == [["ops@example.org", "night@example.org"]]
    lines = mail.get_content().splitlines()
    assert lines[0] == (
        '2026-03-01 12:00:00Z  started  critical  climbing  yard  score 0.93  "a person climbing over a fence"'
    )
    assert [line.split()[2] for line in lines] == ["started", "ended", "started", "ended"]
    assert lines[1].endswith("lasted 3.0 s (released)")


def test_a_mail_of_one_event_says_in_its_subject_what_happened(server):
    with a_sink(server) as sink:
        sink.deliver(a_message(region="gate"))

    assert server.mails[0]["Subject"] == "climbing at yard/gate started (critical)"


def test_phases_that_nobody_wants_to_hear_of_are_delivered_and_make_no_mail(server):
    started, updated, ended = a_life()
    with a_sink(server, phases=[Phase.ENDED]) as sink:
        sink.deliver_all([started, updated])
        sink.deliver_all([started, updated, ended])

    assert [mail["Subject"] for mail in server.mails] == ["climbing at yard ended (critical)"]


def test_the_same_events_make_the_same_message_id_and_others_another(server):
    first, _, last = a_life()
    with a_sink(server) as sink:
        for messages in ([first], [first], [last]):
            sink.deliver_all(messages)

    ids = [mail["Message-ID"] for mail in server.mails]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@example.org>")


def test_snapshots_that_are_files_here_are_attached_and_others_are_links(server, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a b.jpg")
    (tmp_path / "secret.txt").write_text("not a picture")
    urls = [
        (tmp_path / "a b.jpg").as_uri(),
        str(tmp_path / "a b.jpg"),
        "https://example.org/s/1.jpg",
        str(tmp_path / "gone.jpg"),
        str(tmp_path / "secret.txt"),
    ]
    with a_sink(server) as sink:
        sink.deliver_all([a_message(event_id=f"e{number}", snapshot_url=url) for number, url in enumerate(urls)])

    (mail,) = server.mails
    attached = list(mail.iter_attachments())
    assert [part.get_filename() for part in attached] == ["a b.jpg"]
    assert attached[0].get_content() == (tmp_path / "a b.jpg").read_bytes()
    text = mail.get_body().get_content()
    assert "https://example.org/s/1.jpg" in text
    assert str(tmp_path) not in text


def test_a_server_that_is_down_gets_the_mail_when_it_is_back(server):
    with a_sink(server) as sink:
        server.stop()
        with pytest.raises(DeliveryError, match=r"email smtp://127\.0\.0\.1:\d+: Connection refused") as caught:
            sink.deliver(a_message())
        server.start()
        sink.deliver(a_message())

    assert not isinstance(caught.value, DeliveryRejected)
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("552 too big", DeliveryRejected), ("554 spam", DeliveryRejected), ("451 later", DeliveryError)],
)
def test_a_mail_that_is_refused_for_what_it_is_is_rejected_and_one_that_comes_too_early_is_not(server, answer, kind):
    server.data_answer = answer

    with a_sink(server) as sink, pytest.raises(DeliveryError, match=f"answered {answer}") as caught:
        sink.deliver(a_message())

    assert type(caught.value) is kind


def test_refused_recipients_are_named_and_worth_another_try(server):
    server.recipient_answers = {"ops@example.org": "550 no such user"}

    with a_sink(server) as sink, pytest.raises(DeliveryError, match=r"ops@example\.org: 550 no such user") as caught:
        sink.deliver(a_message())

    assert not isinstance(caught.value, DeliveryRejected)


def test_a_mail_that_one_of_two_recipients_gets_is_delivered(server):
    server.recipient_answers = {"gone@example.org": "550 no such user"}

    with a_sink(server, to=["gone@example.org", "ops@example.org"]) as sink:
        sink.deliver(a_message())

    assert server.recipients == [["ops@example.org"]]


def test_what_is_no_event_is_rejected(server, message):
    with a_sink(server) as sink, pytest.raises(DeliveryRejected, match="not an event"):
        sink.deliver(message())


def test_an_event_whose_ids_fill_more_than_a_line_is_rejected(server):
    with a_sink(server) as sink, pytest.raises(DeliveryRejected, match="may not contain linefeed"):
        sink.deliver(a_message(source_id="yard\nBcc: a@example.org"))


def test_a_login_goes_over_tls_to_the_server_that_the_authority_knows(tmp_path):
    certificates = Certificates.make(tmp_path)
    with MailServer(certificate=tmp_path) as server:
        url = f"smtp+starttls://ops:right@127.0.0.1:{server.port}"
        with a_sink(server, url=url, tls=TlsFiles(ca_file=certificates.ca_file)) as sink:
            sink.deliver(a_message())
        with a_sink(server, url=url) as sink, pytest.raises(DeliveryError, match="certificate verify failed"):
            sink.deliver(a_message())
        wrong = a_sink(server, url=url.replace("right", "wr0ng"), tls=TlsFiles(ca_file=certificates.ca_file))
        with wrong as sink, pytest.raises(DeliveryError, match="answered 535") as caught:
            sink.deliver(a_message())

    assert len(server.mails) == 1
    assert "wr0ng" not in f"{caught.value!s} {caught.value!r}"
    assert not isinstance(caught.value, DeliveryRejected)


def test_a_server_without_tls_gets_no_password():
    with MailServer() as server:
        url = f"smtp+starttls://ops:right@127.0.0.1:{server.port}"
        with a_sink(server, url=url) as sink, pytest.raises(DeliveryError, match="STARTTLS"):
            sink.deliver(a_message())

    assert server.mails == []


def test_nobody_at_the_port_is_told_without_the_password():
    sink = EmailSink(url=f"smtps://ops:pa55word@127.0.0.1:{free_port()}", sender="a@b", to=["c@d"])

    with sink, pytest.raises(DeliveryError) as caught:
        sink.deliver(a_message())

    assert "pa55word" not in f"{caught.value!s} {caught.value!r}"
