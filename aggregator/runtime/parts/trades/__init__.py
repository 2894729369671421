"""The trade stream of a process: its log and processor, the features it archives, its share with other processes."""
