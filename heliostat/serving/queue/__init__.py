"""Tasks of an application: taken over HTTP, kept in a broker, answered by processes beside the replicas."""
