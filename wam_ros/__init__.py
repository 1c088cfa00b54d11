"""World Action Models in closed loop on robot arms, in ROS 2."""

import pkgutil

# The generated `wam_ros.msg` lives in the installed package; a checkout earlier on sys.path must
# not hide it.
__path__ = pkgutil.extend_path(__path__, __name__)

__version__ = "0.1.0"
