"""Which hosts and addresses are this machine's own."""

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str | None) -> bool:
    """Say whether the host name or address leads to this machine alone: localhost, 127.0.0.0/8 or ::1."""
    if host is None:
        return False
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
