"""What differs from one kind of cluster to another: what runs replicas, and what routes requests to them.

`serving` and `routing` say what a controller needs of them; every other module here is one that gives it. The decisions above
are the same for all.
"""
