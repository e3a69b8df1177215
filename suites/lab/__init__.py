"""What a case works with: socket families, observers, the fence, sleepers, a network namespace, capabilities.

Owns everything between a case's few lines and the raw calls of `native`. Holds no expected value and knows nothing of reports.
"""
