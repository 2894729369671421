"""The upper bounds of the histograms' buckets, in seconds; those of BATCH in prices."""

REQUEST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.08, 0.1, 0.25, 0.5, 1, 2.5)
LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
CALL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5)
BATCH = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
# The prices of a healthy tier are replaced at its interval, so the buckets are finest just above 5, 30 and 300 s.
AGE = (
    *(0.5, 1, 2, 5, 5.25, 5.5, 6, 7.5, 10, 15),
    *(30, 31, 33, 36, 45, 60, 90, 150),
    *(300, 301, 303, 315, 330, 450, 600, 1800),
)
