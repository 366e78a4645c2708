"""The metrics of delivery."""

from prometheus_client import Counter

HINTS = Counter("messenger_hints_total", "Hints that were published.")
LOG_READS = Counter(
    "messenger_inbox_log_reads_total", "Pages that streams have read from an inbox's log, not from hints."
)
HINTS_LOST = Counter(
    "messenger_hints_lost_total",
    "Hints that could not be sent to other processes; the log makes up for them.",
)
