"""States of the cluster's objects as kube-state-metrics names them, where that cannot be had."""
