"""Isolation Forest and Half-Space Trees over the rows of a file; run in an environment that has them."""

import json
import sys

import numpy as np
from river import anomaly, compose, preprocessing
from sklearn.ensemble import IsolationForest


def main() -> None:
    """Print the scores of both as one line of JSON."""
    given = np.load(sys.argv[1])
    wide, train = given["wide"], given["train"]
    forest = IsolationForest(n_estimators=200, random_state=7).fit(wide[train])
    trees = compose.Pipeline(
        preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(n_trees=25, height=10, window_size=1000, seed=7)
    )
    online = []
    for row in wide:
        named = dict(enumerate(row.tolist()))
        online.append(float(trees.score_one(named)))
        trees.learn_one(named)
    print(json.dumps({"isolation forest": (-forest.score_samples(wide)).tolist(), "half-space trees": online}))


if __name__ == "__main__":
    main()
