"""What a run has done so far, looked up in one go, and whether anything is left to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from xclip_stream.errors import QueueUnavailable
from xclip_stream.protocols import Overview, QueueDepths, RuleStatus, SourceState, SourceStatus


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the queue says of a run at one moment. A source that has not reported yet is in none of the mappings."""

    sources: Mapping[str, SourceStatus]
    rules: Mapping[str, RuleStatus]
    depths: QueueDepths
    ended: frozenset[str]
    """The files that were read to their end."""
    failed: frozenset[str]
    """The sources that cannot be read without a change by the user. A camera that gave frames before is none of them:
    it may do so again."""
    silent: frozenset[str]
    """The cameras that have not given a frame yet."""
    evidence: int = 0
    """Requests for evidence of files that are not settled."""

    @property
    def drained(self) -> bool:
        """True when nothing waits anywhere."""
        depths = self.depths
        return not (depths.windows or depths.scores or any(depths.outbox.values()) or self.evidence)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run is about. `file_ids` are those of the sources that have an end."""

    source_ids: frozenset[str]
    file_ids: frozenset[str]
    sink_ids: tuple[str, ...]


class Progress:
    """Looks at a run through the queue.

    Args:
        started_at: older statuses are of an earlier run and do not count.
    """

    def __init__(self, *, overview: Overview, scope: Scope, started_at: float) -> None:
        self._overview = overview
        self._scope = scope
        self._started_at = started_at
        self.seems_done = False
        """Whether the last look at whether all is done said yes: the next one decides."""
        self._seen: set[str] = set()
        self._passed: dict[str, int] = {}
        self.scored = 0
        """Windows that were scored or given up as dead letters, over all looks."""
        self.last: Snapshot | None = None

    def follow(self, scope: Scope) -> None:
        """Look at this from now on: the configuration has changed."""
        self._scope = scope

    def look(self) -> Snapshot | None:
        """Take a snapshot; None while the queue cannot be reached."""
        try:
            self.last = self._snapshot()
        except QueueUnavailable:
            return None
        self._count(self.last.rules)
        return self.last

    def is_done(self, snapshot: Snapshot | None) -> bool:
        """Tell whether every source has ended or failed and all that came of it is delivered.

        The queue cannot be read in one atomic look, so two in a row have to agree.
        """
        is_done = snapshot is not None and snapshot.drained and self.is_read(snapshot)
        seemed_done, self.seems_done = self.seems_done, is_done
        return is_done and seemed_done

    def is_read(self, snapshot: Snapshot | None) -> bool:
        """Tell whether no source has anything more to give."""
        return snapshot is not None and snapshot.failed | snapshot.ended >= self._scope.source_ids

    def _count(self, rules: Mapping[str, RuleStatus]) -> None:
        for name, status in rules.items():
            passed = status.windows - status.dropped - status.expired
            # It begins anew with each epoch.
            self.scored += max(0, passed - self._passed.get(name, 0))
            self._passed[name] = passed

    def _snapshot(self) -> Snapshot:
        # The flow's own order: what leaves one station after it was looked at is seen at the next.
        statuses = {
            name: status
            for name, status in self._overview.source_statuses().items()
            if name in self._scope.source_ids and status.updated_at >= self._started_at
        }
        rules = {
            name: status
            for name, status in self._overview.rule_statuses().items()
            if name in self._scope.source_ids and status.updated_at >= self._started_at
        }
        self._seen.update(name for name, status in statuses.items() if _has_given(status))
        silent = self._scope.source_ids - self._scope.file_ids - self._seen
        failed = {name for name, status in statuses.items() if status.state is SourceState.FAILED}
        return Snapshot(
            sources=statuses,
            rules=rules,
            ended=frozenset(name for name in self._scope.file_ids if self._overview.epoch_ended(name)),
            failed=frozenset(failed & (self._scope.file_ids | silent)),
            silent=silent,
            depths=self._overview.depths(self._scope.sink_ids),
            # After the scores: it is asked for in the step that lets go of them.
            evidence=self._overview.evidence_waiting(sorted(self._scope.file_ids - failed)),
        )


def _has_given(status: SourceStatus) -> bool:
    """True when a frame of the source has come."""
    return status.state is SourceState.RUNNING or status.windows > 0 or status.position_s > 0
