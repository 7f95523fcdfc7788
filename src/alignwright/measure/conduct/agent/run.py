"""How are agents measured inside a run? By log-probabilities of calls where the model is here, by letters behind a
server."""

from __future__ import annotations

from alignwright.files.agent_items import AgentScenario
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.needs import NotServed, joined, untested
from alignwright.measure.conduct.agent.choosing import ByServedLetters, ByTaskInformation
from alignwright.measure.conduct.agent.conduct import agent_outcomes
from alignwright.measure.conduct.agent.episodes import play_scenarios
from alignwright.measure.conduct.agent.knobs import AgentMeasure
from alignwright.measure.conduct.agent.scenarios import selection


def measure_agent(stage: AgentMeasure, job: JobContext) -> Result:
    """Each scenario and its twin, side by side."""
    own = job.data.items(stage.data, AgentScenario, None)
    scenarios = selection(own, bundled_too=stage.bundled, limit=stage.limit)
    remote = job.models.served
    choose = ByTaskInformation(job.policy()) if remote is None else ByServedLetters(remote)
    try:
        episodes = play_scenarios(choose, scenarios, stage.turns)
    except NotServed as refusal:
        whole = [claim for claim in stage.claims() if not claim.name.endswith("*")]
        return joined(Result(findings=[untested(claim, job.model, str(refusal)) for claim in whole]))
    return joined(Result(samples=agent_outcomes(episodes)))
