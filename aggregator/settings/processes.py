"""The check of roles and numbers of processes against the cache. Pure."""

_ALONE = ("all", "streams")  # roles of a process that may run by itself
_WITHOUT_API = ("refresher", "processor", "streams")


def check_processes(role: str, workers: int, cache_url: str, *, shares_cache: bool) -> None:
    """Check that several processes have a cache that they share. Raises ValueError."""
    if not shares_cache and (role not in _ALONE or workers > 1):
        asked = f"role={role}" if role != "all" else f"workers={workers}"
        raise ValueError(
            f"{asked} means several processes, and cache_url={cache_url} is inside one of them, so the others would not"
            " see its prices; set cache_url to a redis:// address"
        )
    if role in _WITHOUT_API and workers > 1:
        raise ValueError(f"workers answer requests, which role={role} does not; start several {role}s instead")
