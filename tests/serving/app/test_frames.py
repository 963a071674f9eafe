from hypothesis import given
from hypothesis import strategies as st

from serving.app.frames import Frames, framed


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 50), min_size=1))
def test_messages_come_out_whole_however_they_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    received: list[bytes] = []
    frames = Frames(received.append, lambda: None)
    stream = b"".join(map(framed, messages))
    position, turn = 0, 0
    while position < len(stream):
        size = cuts[turn % len(cuts)]
        frames.data_received(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert received == messages
