from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from xclip_stream.demo.prompts import CANONICAL, HELD_OUT, training_prompts
from xclip_stream.demo.render import build_demo, build_recording
from xclip_stream.demo.scenes import EVENTLESS, RECORDING, build_scene
from xclip_stream.demo.script import ACTIVITIES, CLEAR, REPORTED, SHIFTED, USUAL


def test_the_same_seed_gives_the_same_truth_and_the_same_pixels():
    first, again, other = (build_scene(seed, 30.0) for seed in (11, 11, 12))

    assert first.truth == again.truth
    assert np.array_equal(first.frame(7.3).picture, again.frame(7.3).picture)
    assert not np.array_equal(first.frame(7.3).picture, other.frame(7.3).picture)


def test_a_frame_does_not_depend_on_the_frames_asked_for_before_it():
    scene = build_scene(3, 20.0)
    backwards = {t: scene.frame(t).picture for t in (9.0, 4.0, 1.0)}

    forwards = {t: scene.frame(t).picture for t in (1.0, 4.0, 9.0)}

    assert all(np.array_equal(forwards[t], backwards[t]) for t in forwards)


def test_every_action_happens_in_a_long_recording_and_none_in_an_eventless_one():
    long = build_recording(5, 1800.0)
    quiet = build_recording(5, 1800.0, plan=EVENTLESS)

    assert set(Counter(event.action for event in long.truth)) == set(REPORTED)
    assert quiet.truth == ()


@pytest.mark.parametrize("seed", range(5))
def test_truth_lies_in_the_recording_and_no_two_actions_overlap(seed):
    recording = build_recording(seed, 300.0)
    truth = recording.truth

    assert all(0.0 <= event.start_s < event.end_s <= recording.duration_s for event in truth)
    assert all(before.end_s <= after.start_s for before, after in pairwise(truth))


def test_the_activity_of_a_frame_is_the_action_that_is_true_then():
    scene = build_scene(21, 120.0, plan=RECORDING)
    within = [(event.action, (event.start_s + event.end_s) / 2) for event in scene.truth]

    assert within
    assert [scene.frame(middle).activity for _, middle in within] == [action for action, _ in within]


def test_people_in_the_shifted_world_are_smaller_and_the_light_is_worse():
    usual, shifted = (build_scene(2, 20.0, world=world) for world in (USUAL, SHIFTED))

    assert SHIFTED.height_px[1] < USUAL.height_px[0]
    assert shifted.frame(5.0).picture.mean() < usual.frame(5.0).picture.mean()


@pytest.mark.parametrize("seed", range(4))
def test_a_demo_scene_has_five_different_actions(seed):
    recording = build_demo(seed)

    assert len({event.action for event in recording.truth}) == len(recording.truth) == 5
    assert 60.0 <= recording.duration_s <= 150.0


def test_held_out_sentences_are_never_trained_on():
    trained = {prompt for activity in ACTIVITIES for prompt in training_prompts(activity)}

    assert all(len(training_prompts(activity)) > 100 for activity in ACTIVITIES)
    assert set(CANONICAL.values()) <= trained
    assert trained.isdisjoint(sentence for sentences in HELD_OUT.values() for sentence in sentences)


def test_held_out_sentences_use_words_that_training_knows():
    known = {word for activity in ACTIVITIES for prompt in training_prompts(activity) for word in prompt.split()}
    used = {word for sentences in HELD_OUT.values() for sentence in sentences for word in sentence.split()}

    assert used <= known


@pytest.mark.parametrize("seed", range(5))
def test_the_short_scene_of_the_demo_is_a_yard_with_nobody_about_and_nothing_in_the_way(seed):
    (scene,) = build_demo(seed).scenes

    place = scene.stage.place
    assert (place.kind, place.trees, place.in_front) == ("yard", (), ())
    assert scene.stage.world is CLEAR
    assert {event.action for event in scene.truth} <= set(REPORTED)
    assert len(scene.truth) == 5
    assert {seen.activity for seen in scene.frame(0.0).seen} <= {"walk"}
