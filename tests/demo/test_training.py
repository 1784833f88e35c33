import numpy as np
import pytest
import torch

from xclip_stream.demo.batches import Footage
from xclip_stream.demo.learner import Learner
from xclip_stream.demo.muon import orthogonalise
from xclip_stream.demo.plan import TrainingPlan, plan_for
from xclip_stream.demo.pool import SAMPLES, Pool, render_pool, window_targets
from xclip_stream.demo.script import ACTIVITIES
from xclip_stream.demo.train import demo_tokenizer, save_state

SHORT = TrainingPlan(scenes=2, frames_steps=1, text_steps=1, windows_steps=2, frames_batch=4, windows_batch=2)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return render_pool(tmp_path_factory.mktemp("pool"), [1, 2], processes=1)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def learner(pool: Pool) -> Learner:
    return Learner(SHORT, Footage(pool), demo_tokenizer())


def test_two_steps_and_two_resumed_ones_give_the_same_state_as_four(pool, tmp_path):
    straight, second = learner(pool), learner(pool)
    for _ in range(2):
        straight.advance()
    save_state(straight, tmp_path / "state.pt")
    for _ in range(2):
        straight.advance()
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for _ in range(2):
        second.advance()

    assert second.step == straight.step == 4
    for name, value in straight.average.items():
        assert torch.equal(value, second.average[name]), name
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_the_steps_of_a_plan_fall_into_its_stages():
    assert [SHORT.place(step) for step in range(SHORT.steps)] == [
        ("frames", 0, 1),
        ("text", 0, 1),
        ("windows", 0, 2),
        ("windows", 1, 2),
    ]
    with pytest.raises(IndexError):
        SHORT.place(SHORT.steps)


def test_a_longer_plan_renders_more_and_trains_more():
    short, long = plan_for(0.1), plan_for(1.0)

    assert long.scenes > short.scenes
    assert long.frames_steps > short.frames_steps
    assert long.windows_steps > short.windows_steps


def test_a_rendered_pool_has_a_label_cover_and_joints_for_every_sample(pool):
    assert pool.pictures.shape == (2, SAMPLES, 96, 96, 3)
    assert set(np.unique(pool.labels)) <= set(range(len(ACTIVITIES)))
    people = np.isin(pool.labels, [ACTIVITIES.index(name) for name in ("walk", "stand", "run")])
    assert not np.isnan(pool.joints[people].astype(float)).any()


def test_a_window_target_is_the_share_of_each_activity_in_its_eight_samples():
    labels = np.array([[0, 0, 0, 0, 0, 0, 3, 3, 3]], np.int8)

    shares = window_targets(labels)

    assert shares.shape == (1, 2, len(ACTIVITIES))
    assert shares[0, 0, 0] == 0.75
    assert shares[0, 1, 3] == 0.375


def test_orthogonalised_matrices_have_singular_values_near_one():
    matrices = torch.randn(2, 48, 16, generator=torch.Generator().manual_seed(0))

    values = torch.linalg.svdvals(orthogonalise(matrices))

    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
