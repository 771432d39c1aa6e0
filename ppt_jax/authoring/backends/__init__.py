"""Back ends that answer an author's requests: one protocol, several kinds of server."""
