"""Where events go: one file a sink, each the owner of its client library. Sinks take plain values.

A sink's `deliver` returns only when the message is safe there; it raises DeliveryError when another try may help and
DeliveryRejected when not. The same message may come again, with the same `message_id`.
"""
