"""The metrics of delivery."""

from prometheus_client import Counter

HINTS = Counter("messenger_hints_total", "Published hints.")
LOG_READS = Counter(
    "messenger_inbox_log_reads_total", "Pages that streams read from inbox logs instead of receiving hints."
)
HINTS_LOST = Counter(
    "messenger_hints_lost_total",
    "Hints that could not be sent to other processes. Their entries are read from the log.",
)
