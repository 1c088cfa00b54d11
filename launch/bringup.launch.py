"""Everything, by arguments: `ros2 launch wam_ros bringup.launch.py instruction:="pick up the red
block"`.

With `sim:=false` the nodes wait for a robot that runs `joint_trajectory_controller` and publishes
`joint_states` and camera images under the embodiment's names; then `dry_run` is true unless said
otherwise.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from launch.actions import (
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
    UnsetEnvironmentVariable,
)
from launch.events.process import ProcessExited
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import share_dir
from wam_ros.models import SCRIPT
from wam_ros.ros.environment import discovery_environment, transport_environment
from wam_ros.ros.launching.arguments import (
    ARGUMENTS,
    ROBOT,
    RVIZ,
    controller_of,
    described,
    model_of,
    opens_rviz,
    require_bringup,
    require_names,
)
from wam_ros.ros.launching.processes import declared, end_together, process, values_of
from wam_ros.ros.simulated import simulated_time
from wam_ros.sim.names import world_of

LAUNCH_FOLDER = Path(__file__).parent
# on a busy machine it takes longer than launch's 5 s to let go of torch and of the simulation
LET_GO_S = "15"


def say_recorder_ended(event: ProcessExited, context: LaunchContext) -> LogInfo | None:
    """The loop goes on without its recorder, but not without a word."""
    if context.is_shutdown:
        return None
    return LogInfo(msg=f"{event.process_name} ended: nothing more is recorded")


# what the loop goes on without; the end of any other node is the end of all
ENDS = {"view_node": None, "recorder_node": say_recorder_ended}


def wam_node(
    name: str, values: dict[str, str], parameters: dict[str, object], context: LaunchContext
) -> LifecycleNode:
    """One node of this package: config file, then launch arguments, then the user's
    `params_file`.
    """
    sources: list[object] = []
    config = share_dir() / "config" / f"{name.removesuffix('_node')}.yaml"
    if config.is_file():
        sources.append(str(config))
    shared = {
        "use_sim_time": values["use_sim_time"] == "true",
        "autostart": values["autostart"] == "true",
    }
    sources.append({**shared, **parameters})
    if values["params_file"]:
        sources.append(values["params_file"])
    path = [part for part in (*values["namespace"].split("/"), name) if part]
    logging = ["--log-level", f"{'.'.join(path)}:={values['log_level']}"]
    return LifecycleNode(
        package="wam_ros",
        executable=name,
        exec_name=name,
        name=name,
        namespace=values["namespace"],
        parameters=sources,
        # what a node may do where ROS_SECURITY_ENABLE is set (config/sros2/policy.xml)
        arguments=["--ros-args", *logging, "--enclave", f"/{'/'.join(path)}"],
        output="screen",
        emulate_tty=True,
        sigterm_timeout=LET_GO_S,
        on_exit=ENDS.get(name, end_together),
        **process(name, context),
    )


def loop_nodes(values: dict[str, str], context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Camera, inference, safety and bridge; also the simulated arm and the recorder when asked for,
    and the view when somebody will look.
    """
    sim = values["sim"] == "true"
    dry_run = values["dry_run"] == "true" or (values["dry_run"] == "auto" and not sim)
    robot = {"embodiment": values["embodiment"]}
    chosen = {**values, "model": model_of(values, load_embodiment(values["embodiment"]))}
    model = {key: chosen[key] for key in ("model", "checkpoint", "instruction") if chosen[key]}
    # Only a simulated arm with something to do arms itself; a real one is armed by a person.
    arm = sim and not dry_run and bool(values["instruction"])
    # the simulated arm has one controller, of whatever the embodiment says of groups of joints
    kind = controller_of(values) if sim else values["controller"]
    output = {"controller": kind} if kind else {}
    frames = {"tf_prefix": values["tf_prefix"]} if values["tf_prefix"] else {}
    # the script reaches for markers, whatever the hand could do
    task = values["task"] or ("reach" if model.get("model") == SCRIPT else "")
    world = world_of(task)
    own: dict[str, dict[str, object]] = {
        "sim_node": {**output, **frames, **({"task": task} if task else {})},
        "camera_node": {},
        "inference_node": {**model, "imagination": values["imagination"]},
        "safety_node": {**frames, **world, "dry_run": dry_run, "arm_on_start": arm},
        "bridge_node": output,
        "task_node": {},
        "teleop_node": {"topic": values["teleop"], "instruction": values["instruction"]},
        "recorder_node": {"folder": str(Path(values["record"]).absolute())},
        "view_node": {**frames, **world},
    }
    del own["inference_node" if values["teleop"] else "teleop_node"]
    if not values["record"]:
        del own["recorder_node"]
    if not sim:
        del own["sim_node"]
    time = (
        simulated_time(load_embodiment(values["embodiment"]), values["real_time"] == "true")
        if sim
        else {}
    )
    if values["view"] == "false":
        own["view_node"] = {**frames, **world, "port": 0}  # no page: it draws for RViz
        if not opens_rviz(values, os.environ):
            del own["view_node"]
    return [
        wam_node(name, values, {**robot, **parameters, **time.get(name, {})}, context)
        for name, parameters in own.items()
    ]


def include(name: str, values: dict[str, str], keys: Iterable[str]) -> IncludeLaunchDescription:
    """Another launch file of this folder with some of our arguments."""
    source = PythonLaunchDescriptionSource(str(LAUNCH_FOLDER / name))
    return IncludeLaunchDescription(source, launch_arguments=[(key, values[key]) for key in keys])


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """What the argument values mean. Each is judged here, before anything starts."""
    if any(Path(word).name == Path(__file__).name for word in sys.argv):
        require_names(context.argv)  # another launch file that includes this one has its own
    values, guessed = described(values_of(ARGUMENTS, context))
    require_bringup(values)
    if values["sim"] == "true" and values["real_time"] == "false":
        # all that runs beside the loop lives by the clock of the simulated world, too
        values["use_sim_time"] = "true"
    discovery = discovery_environment(os.environ, values["discovery"])
    variables = {**transport_environment(os.environ), **discovery}
    entities: list[LaunchDescriptionEntity] = [
        SetEnvironmentVariable(name, value) if value else UnsetEnvironmentVariable(name)
        for name, value in variables.items()
    ]
    if guessed:
        entities.append(LogInfo(msg=guessed))
    if values["discovery"] == "auto" and discovery and values["sim"] == "false":
        entities.append(
            LogInfo(
                msg="nodes are looked for on this machine only: add discovery:=subnet for a driver "
                "on another one"
            )
        )
    entities.append(include("robot.launch.py", values, ROBOT))
    entities += loop_nodes(values, context)
    if not values["instruction"]:
        entities.append(
            LogInfo(
                msg="no instruction given: nothing moves until inference_node/set_instruction is "
                "called"
            )
        )
    if values["launch_rviz"] == "true":
        entities.append(include("rviz.launch.py", values, RVIZ))
    return entities


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=launch_setup)])
