"""The nodes, one file each: wiring only."""

from wam_ros.core.threads import one_blas_thread

one_blas_thread()
