"""Query a run's tables with pandas or DuckDB; `pip install pandas duckdb` first.

    python examples/query_run.py runs/quickstart-0

The columns and their meanings are in `evosearch.storage.parquet.TABLES` and in the files' metadata.
"""

from __future__ import annotations

import sys
from typing import Any

import evosearch


def with_pandas(run: evosearch.Run) -> Any:
    """Return the kinds of edits by the median score of what they made, best first."""
    programs = run.programs().to_pandas()
    programs["edit"] = programs["mutation"].str.partition(" in ")[0]
    groups = programs.dropna(subset="score").groupby("edit")["score"]
    return groups.agg(["count", "median", "max"]).sort_values("median", ascending=False)


def with_duckdb(directory: str) -> Any:
    """Return for each task where the best learning rates of the candidates lie.

    DuckDB reads the Parquet files themselves, so a run of any size fits; they hold all but the last
    records of a run that goes on. A candidate that was evaluated again has a row in each file.
    """
    import duckdb

    return duckdb.sql(
        f"""
        SELECT task, count(DISTINCT candidate) AS candidates,
               quantile_cont(learning_rate, [0.1, 0.5, 0.9]) AS rates,
               avg(edge::INT) AS at_the_edge
        FROM read_parquet('{directory}/evaluations/*.parquet')
        WHERE best GROUP BY task ORDER BY task
        """
    ).df()


def main() -> None:
    (directory,) = sys.argv[1:]
    print(with_pandas(evosearch.Run.open(directory)))
    print(with_duckdb(directory))


if __name__ == "__main__":
    main()
