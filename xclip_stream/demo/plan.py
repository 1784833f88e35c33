"""How much of what a training run does: steps, not the clock, so that a slower machine makes the same model."""

from dataclasses import dataclass

STAGES = ("frames", "text", "windows")

_TEXT_STEPS = 150
_RENDERED_PER_S = 8.0  # scenes, two processes
_FRAME_STEPS_PER_S = 4.2  # of 96 frames, two cores
_WINDOW_STEPS_PER_S = 3.2  # of 16 windows, two cores


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """Scenes to render and steps of each stage."""

    scenes: int
    frames_steps: int
    windows_steps: int
    text_steps: int = _TEXT_STEPS
    frames_batch: int = 96
    windows_batch: int = 16
    seed: int = 20_260

    @property
    def steps(self) -> int:
        """All steps together."""
        return self.frames_steps + self.text_steps + self.windows_steps

    def place(self, step: int) -> tuple[str, int, int]:
        """The stage that a step belongs to, its number within the stage and the stage's length."""
        for stage, length in zip(STAGES, (self.frames_steps, self.text_steps, self.windows_steps), strict=True):
            if step < length:
                return stage, step, length
            step -= length
        raise IndexError(f"the plan has {self.steps} steps")


def plan_for(hours: float) -> TrainingPlan:
    """The plan that takes about `hours` on two cores: a sixth of it rendering, a third of the rest for frames."""
    seconds = hours * 3600
    return TrainingPlan(
        scenes=max(8, round(seconds / 6 * _RENDERED_PER_S)),
        frames_steps=max(2, round(seconds * 5 / 6 * 0.35 * _FRAME_STEPS_PER_S)),
        windows_steps=max(2, round(seconds * 5 / 6 * 0.65 * _WINDOW_STEPS_PER_S)),
    )


def refinement_for(hours: float) -> TrainingPlan:
    """The plan that goes on with a trained model for about `hours`: a quarter of it rendering, the rest windows."""
    seconds = hours * 3600
    return TrainingPlan(
        scenes=max(8, round(seconds / 4 * _RENDERED_PER_S)),
        frames_steps=0,
        text_steps=0,
        windows_steps=max(2, round(seconds * 3 / 4 * _WINDOW_STEPS_PER_S)),
        seed=20_261,
    )
