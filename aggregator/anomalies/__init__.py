"""Unusual trades: an Isolation Forest for each asset, fitted and applied in a worker process.

    take ─▶ waiting ─▶ child ═ pipe ═▶ worker ─▶ detector ─▶ arena (scores), forest (fits), model_files
                 found ◀─ child ◀═══════ replies

`analytic` runs in the process of the trade stream and imports neither numpy nor scikit-learn; `arena`, `detector`,
`forest`, `model_files`, `samples` and `worker` run in the worker process.
"""
