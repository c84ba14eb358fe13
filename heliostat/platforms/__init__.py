"""The platforms that a stack can declare: components that make everything that its workloads need."""
