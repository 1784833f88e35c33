from xclip_stream.pipeline.decoded_share import DecodedShare


def test_the_share_is_that_of_the_last_minute() -> None:
    share = DecodedShare()
    assert share.share == 1.0

    for second in range(60):
        share.note(float(second), frames=25, still_frames=0)
    assert share.share == 1.0

    for second in range(60):
        share.note(60.0 + second, frames=25, still_frames=20 * (second + 1))
    assert share.share == 0.2


def test_frames_that_come_to_be_known_as_still_later_make_it_no_less_than_nothing() -> None:
    share = DecodedShare()
    share.note(0.0, frames=0, still_frames=25)
    assert share.share == 1.0

    share.note(1.0, frames=10, still_frames=25)

    assert share.share == 0.0
