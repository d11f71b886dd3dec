"""Regularized evolution: who is tried next, and who stays.

The population proposes packs of candidates and is told their scores; it does no I/O and knows no
clock. A parent is the best of a random tournament, the child is mutated until it computes something
new, and the oldest individual leaves (Real et al., arXiv 1802.01548; as used for Lion,
arXiv 2302.06675). Islands evolve apart and now and then send their best to a neighbour; an island
that has stopped improving restarts from its best individual.

Everything is a function of the configuration and of what was committed, in order.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from evosearch.config.schema import Config
from evosearch.equivalence.core import Core
from evosearch.equivalence.fingerprint import fingerprint
from evosearch.evolution.archive import Archive
from evosearch.evolution.enumeration import Enumeration, Ordinal
from evosearch.evolution.fitness import Fitness, Scores
from evosearch.evolution.individual import Individual, Pack
from evosearch.evolution.island import Island
from evosearch.evolution.offspring import Child, offspring, retuned
from evosearch.evolution.ranking import Ranking
from evosearch.evolution.retune import Retuning
from evosearch.language.known import default_rest, resolve, rest_of
from evosearch.language.parse_cache import parsed
from evosearch.language.rule import Rule, RuleSet
from evosearch.mutation.idea_edits import recombined
from evosearch.mutation.mutate import crossover
from evosearch.mutation.rng import Rng
from evosearch.mutation.space import ELITES, Space
from evosearch.storage.spilled_list import SpilledList
from evosearch.training.job import Outcome, Status
from evosearch.training.score import combine, mean_score

__all__ = ["Population"]


Bred = tuple[Child, tuple[Individual, ...]]
"""A child and its parents."""


@dataclass(frozen=True)
class _Results:
    """What an individual's evaluations came to."""

    scores: Scores
    rounds: int
    """Evaluations, those that a hurdle ended early included; 0 where the first one failed."""


class Population:
    """The state of a search: `propose` packs, `commit` their results in the same order."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.individuals: SpilledList[Individual] = SpilledList()
        """By id."""
        self.cores: SpilledList[Core] = SpilledList()
        """By id, from the commit on: what is left of a program when nothing can be taken out."""
        self.fitnesses: dict[int, Fitness] = {}
        self.budget = config.budget.evaluations
        """How many candidates it may send to evaluation."""
        self.evaluations = 0
        """Candidates sent to evaluation, re-evaluations not counted."""
        self.proposals = 0
        self.hits = 0
        self._space = config.space.space()
        self._start = resolve(config.start)
        self._start_print = fingerprint(self._start) or ""  # the configuration refuses others
        self._islands = [Island() for _ in range(config.population.islands)]
        self._results: SpilledList[_Results] = SpilledList()
        """By id, from the commit on."""
        self._tier_tasks = [[str(ref) for ref in tier] for tier in config.tiers_of_tasks()]
        self._tier_scores: list[list[float]] = [[] for _ in self._tier_tasks]
        self._ranking = Ranking()
        self._archive = Archive()
        self._tuning = Retuning(config.population.fatigue)
        self._seen: set[str] = set()
        self._forms = iter(Enumeration(self._space, config.seed))
        """What a search by size goes through; it is begun anew where a run is resumed."""
        self._place = Ordinal(0, -1)
        """Of the last form among them that was proposed."""
        self._numbers = 0
        self._confirming: set[tuple[int, int]] = set()
        self._closed: list[int] | None = []
        """What the next pack's `closed` is to say."""

    def propose(self) -> Pack | None:
        """Return the next pack, or None when there is nothing to do before the next commit."""
        elites = self.config.elites
        over = self.evaluations >= self.budget
        if over or (self._numbers + 1) % elites.every == 0:
            pack = self._confirmation(elites.final if over else elites.count)
            if pack is not None or over:
                return pack
        return self._breed()

    def admit(self, pack: Pack) -> None:
        """Take in a pack of new candidates that `propose` gave before, without making it again.

        The state is the same afterwards, for a small part of the time.
        """
        for individual in pack.individuals:
            self._register(individual)
            self._place = Ordinal.read(individual.mutation) or self._place
        for id_ in pack.closed or ():
            self._tuning.close(self.cores[id_].form)
        self._count(pack)

    def commit(self, pack: Pack, outcomes: Sequence[Outcome]) -> None:
        """Take in the outcomes of a pack's individuals, in their order."""
        for individual, outcome in zip(pack.individuals, outcomes, strict=True):
            self._take_in(individual, outcome)
        if pack.confirms:
            self._confirming -= {(i.id, pack.round) for i in pack.individuals}
            return
        island = self._islands[pack.number % len(self._islands)]
        for individual in pack.individuals:
            if individual.id in self.fitnesses:
                island.add(individual.id, self.fitnesses, self.config.population.size)
        self._migrate(pack.number)

    def _take_in(self, individual: Individual, outcome: Outcome) -> None:
        """Take in an outcome; an individual that fails, at first or later, has no fitness."""
        first = self._enter(individual, outcome.core)
        if outcome.status is not Status.OK:
            self._drop(individual.id)
            return
        scores = self._add_scores(individual.id, outcome)
        if first:
            self._note_tiers(scores, outcome.tier)
        self._rate(individual.id, scores, outcome.tier, first=first)

    def _enter(self, individual: Individual, core: Core | None) -> bool:
        """Make room for what is known of an individual; return whether there was none before."""
        if individual.id == len(self.cores):  # a worker that was lost has not said it
            self.cores.append(core or Core.of(individual.genome))
        first = individual.id == len(self._results)  # packs are committed in their order
        if first:
            self._results.append(_Results({}, 0))
        return first

    def _drop(self, id_: int) -> None:
        """Forget the fitness of an individual that failed."""
        if self._results[id_].rounds:
            del self.fitnesses[id_]
            self._ranking.drop(id_)
            self._archive.drop(id_)
            self._tuning.drop(id_, self.cores[id_].form)
        for island in self._islands:
            island.discard(id_)

    def _add_scores(self, id_: int, outcome: Outcome) -> Scores:
        """Add an evaluation's scores to those before it, and return all."""
        known = self._results[id_]
        scores = {task: list(values) for task, values in known.scores.items()}
        for result in outcome.tasks:
            scores.setdefault(result.task, []).append(result.score)
        self._results[id_] = _Results(scores, known.rounds + 1)
        return scores

    def _note_tiers(self, scores: Scores, last: int) -> None:
        """Keep a new candidate's score on every tier that it came to: hurdles follow from them."""
        for tier in range(last + 1):
            insort(self._tier_scores[tier], self._tier_mean(scores, tier))

    def _rate(self, id_: int, scores: Scores, tier: int, *, first: bool) -> None:
        """Give an individual the fitness that its scores amount to."""
        fitness = Fitness.of(scores, tier, self.config.evaluation.seeds)
        core = self.cores[id_]
        self.fitnesses[id_] = fitness
        self._ranking.put(id_, fitness, core.size, core.memory)
        self._archive.put(id_, fitness, core)
        self._tuning.put(id_, core, self._tier_mean(scores, 0), first=first)

    def _tier_mean(self, scores: Scores, tier: int) -> float:
        """Return the mean over a tier's tasks."""
        return combine([mean_score(scores[task]) for task in self._tier_tasks[tier]]).mean

    def ranking(self) -> list[Individual]:
        """Return the individuals that have a fitness, best first."""
        return [self.individuals[i] for i in self._ranking]

    def front(self) -> list[Individual]:
        """Return the individuals that none of their size and state memory, or less, beats.

        Of equals the first counts.
        """
        return [self.individuals[i] for i in self._ranking.front()]

    def hurdles(self) -> tuple[float, ...]:
        """Return the score that a candidate needs on each tier to enter the next one.

        The last tier's is never used.
        """
        settings = self.config.hurdle
        hurdles: list[float] = []
        for scores in self._tier_scores:
            rank = int((1.0 - settings.promote) * (len(scores) - 1))
            enough = len(scores) >= settings.warmup
            hurdles.append(scores[rank] if enough else settings.initial)
        return tuple(hurdles)

    def _breed(self) -> Pack | None:
        number = self._numbers
        rng = Rng(self.config.seed, "pack", number)
        island = self._islands[number % len(self._islands)]
        ladder = self._ranking.ladder()
        room = self.budget - self.evaluations
        found: list[Individual] = []
        proposals = hits = 0
        if not self.individuals:
            found.append(self._make(self._start, self._start_print, (), "start"))
            self.cores.append(Core.of(self._start))  # children are made of it before it is known
        while len(found) < min(self.config.budget.pack, room):
            bred = self._tune(ladder, rng) or self._novel(island, ladder, rng)
            if bred is None:
                break
            child, parents = bred
            proposals += child.proposals
            hits += child.hits
            ids = tuple(parent.id for parent in parents)
            found.append(self._make(child.rules, child.fingerprint, ids, child.mutation))
        if not found:
            self._closed = None
            return None
        closed, self._closed = self._closed, []
        ids = None if closed is None else tuple(closed)
        pack = Pack(number, 0, tuple(found), proposals, hits, ids)
        self._count(pack)
        return pack

    def _count(self, pack: Pack) -> None:
        self._numbers += 1
        self.evaluations += len(pack.individuals)
        self.proposals += pack.proposals
        self.hits += pack.hits

    def _tune(self, ladder: Sequence[int], rng: Rng) -> Bred | None:
        """Return a promising form with other constants, now and then."""
        if not ladder or not rng.chance(self.config.population.tuning):
            return None
        id_ = self._tuning.pick(max(self.cores[i].size for i in ladder), rng)
        if id_ is None:
            return None
        parent = self.individuals[id_]
        child = retuned(self.cores[id_].rules, self._space, rng, self._seen)
        if child is None:
            self._tuning.close(self.cores[id_].form)
            if self._closed is not None:
                self._closed.append(id_)
            return None
        return child, (parent,)

    def _novel(self, island: Island, ladder: Sequence[int], rng: Rng) -> Bred | None:
        """Return a program that is more than another with other constants."""
        if self.config.population.by_size:
            return self._next_form()
        return self._mutate(island, ladder, rng)

    def _next_form(self) -> Bred | None:
        """Return the next form by size that is new."""
        proposals = hits = 0
        for place, rule in self._forms:
            if place <= self._place:
                continue
            self._place = place
            proposals += 1
            rules = self._whole(rule)
            print_ = None if rules is None else fingerprint(rules)
            if rules is None or print_ is None or print_ in self._seen:
                hits += print_ is not None
                continue
            return Child(rules, print_, str(place), proposals, hits), ()
        return None

    def _whole(self, rule: Rule) -> RuleSet | None:
        """Return an optimizer with this rule for matrices; None where it cannot serve the rest."""
        if self._space.scope == "matrix":
            return RuleSet(rule, rest_of(self._start))
        if rule.rank_free:
            return RuleSet(rule)
        return RuleSet(rule, default_rest()) if self._space.scope == "both" else None

    def _mutate(self, island: Island, ladder: Sequence[int], rng: Rng) -> Bred | None:
        """Return a mutated child of a chosen parent, or of a cross of two."""
        parents = self._parents(island, ladder, rng)
        cores = rng.chance(self.config.population.cores)
        genomes = [self.cores[parent.id].rules if cores else parent.genome for parent in parents]
        base, crossed = self._cross(genomes, rng)
        space = self._space_with(ladder)
        child = offspring(base, space, rng, self._seen, self.config.population.drift)
        if child is None:
            return None
        if crossed:
            child = replace(child, mutation=f"{crossed}, {child.mutation}")
        return child, parents

    def _cross(self, genomes: Sequence[RuleSet], rng: Rng) -> tuple[RuleSet, str]:
        """Return what is bred from, and the name of how it was made of two parents, if it was."""
        if len(genomes) == 1:
            return genomes[0], ""
        share = self.config.population.recombination
        if share and (self._space.scope != "both" or rng.chance(share)):
            first, second = genomes
            crossed = recombined(first, second, self._space, rng)
            return (genomes[0], "") if crossed is None else (crossed, "recombination")
        return crossover(*genomes), "crossover"

    def _space_with(self, ladder: Sequence[int]) -> Space:
        """Return the space, its donors the best for their size as far as they are wanted."""
        if ELITES in self._space.donors:
            elites = tuple(dict.fromkeys(self.cores[i].rules.matrix for i in ladder))
            if elites != self._space.elites:
                self._space = replace(self._space, elites=elites)
        return self._space

    def _make(
        self, rules: RuleSet, print_: str, parents: tuple[int, ...], edits: str
    ) -> Individual:
        text = str(rules)
        parsed.keep(text, rules)
        individual = Individual(len(self.individuals), text, print_, parents, edits)
        self._register(individual)
        return individual

    def _register(self, individual: Individual) -> None:
        self.individuals.append(individual)
        self._seen.add(individual.fingerprint)

    def _parents(self, island: Island, ladder: Sequence[int], rng: Rng) -> tuple[Individual, ...]:
        settings = self.config.population
        first = self._tournament(island, rng)
        if first is None:
            return (self.individuals[0],)
        if settings.archive and rng.chance(settings.archive):
            return (self.individuals[rng.pick(self._archive.elites())],)
        if rng.chance(settings.front):
            weights = accumulate(1 + self.cores[i].size for i in ladder)
            return (self.individuals[rng.weighted(ladder, list(weights))],)
        crosses = self._space.scope == "both" or settings.recombination > 0.0
        if crosses and rng.chance(settings.crossover):
            second = self._tournament(island, rng)
            if second is not None and second.id != first.id:
                return first, second
        return (first,)

    def _tournament(self, island: Island, rng: Rng) -> Individual | None:
        """Return the best of a few random individuals; None while the island fills up."""
        if len(island.members) < min(self.config.population.size, self.config.population.warmup):
            return None
        members = island.members
        drawn = [rng.pick(members) for _ in range(self.config.population.tournament)]
        return self.individuals[max(drawn, key=lambda i: (self.fitnesses[i], -i))]

    def _confirmation(self, count: int) -> Pack | None:
        """Return a pack that re-evaluates those of the best that were evaluated least."""
        elites = self.config.elites
        waiting: dict[int, list[Individual]] = {}
        over = self.evaluations >= self.budget
        elite = self._ranking.best(count)
        if over and elites.front:
            elite += self._ranking.front()
        for individual in (self.individuals[id_] for id_ in dict.fromkeys(elite)):
            done = self._results[individual.id].rounds
            if done < elites.rounds and (individual.id, done) not in self._confirming:
                waiting.setdefault(done, []).append(individual)
        if not waiting:
            return None
        round_ = min(waiting)
        chosen = tuple(waiting[round_][: self.config.budget.pack])
        self._confirming |= {(individual.id, round_) for individual in chosen}
        pack = Pack(self._numbers, round_, chosen)
        self._numbers += 1
        return pack

    def _migrate(self, number: int) -> None:
        """Send an island's best to the next one, and restart an island that stands still."""
        settings = self.config.population
        index = number % len(self._islands)
        island = self._islands[index]
        if not island.members:
            return
        if len(self._islands) > 1 and number // len(self._islands) % settings.migrate_every == 0:
            neighbour = self._islands[(index + 1) % len(self._islands)]
            neighbour.add(island.best(self.fitnesses), self.fitnesses, settings.size)
        if island.stale > settings.patience:
            island.restart(self.fitnesses)
