"""Repositories of users' own: `repository` is one, whole, with a first workload; the modules beside it give it other names."""
