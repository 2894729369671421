"""`kinesis://`: a Kinesis stream as the log of trades."""
