"""The platform `aws`: what AWS gives, and on it what runs in any Kubernetes cluster."""
