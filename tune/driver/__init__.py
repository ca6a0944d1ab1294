"""The only driver of Ray: a search's trials, here or on a cluster's hosts."""
