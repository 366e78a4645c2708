"""Authentication of requests: tokens, cookies, origins, and the keys of other issuers."""
