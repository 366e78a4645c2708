"""Recognising loopback hosts and addresses."""

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str | None) -> bool:
    """Return whether the host name or address is a loopback one: localhost, 127.0.0.0/8 or ::1."""
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
