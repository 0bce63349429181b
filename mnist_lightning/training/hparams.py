"""What a run writes for TensorBoard's HPARAMS tab: its settings when it begins, and how it ended.

Only session records are written, and no experiment record, which would take types and columns from whichever run came
first. They stand in event files of their own, so that a resumed run can write them anew: TensorBoard keeps the first
record of a kind that it finds. torch's SummaryWriter.add_hparams makes a further run for them, so it is not used.
"""

import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

STATUS = {"success": api_pb2.STATUS_SUCCESS, "failed": api_pb2.STATUS_FAILURE}
START, END = ".hparams-start", ".hparams-end"  # how the names of the two event files end


def write_start(directory: Path, settings: dict[str, bool | int | float | str]) -> None:
    """Write the settings of a run that begins. Its row of the tab has the last two parts of its path as a name."""
    row = "/".join(directory.absolute().parts[-2:])
    write(directory, START, summary_v2.hparams_pb(settings, trial_id=row, start_time_secs=time.time()))
    remove(directory, END)


def write_end(directory: Path, status: str) -> None:
    """Write how the run ended, "success" or "failed", in place of what was written before."""
    end = plugin_data_pb2.SessionEndInfo(status=STATUS[status], end_time_secs=time.time())
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    about, tag = metadata.create_summary_metadata(data), metadata.SESSION_END_INFO_TAG
    write(directory, END, Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)]))


def write_killed(directory: Path) -> None:
    """Write for a run that was killed that it failed, where it had begun to write for TensorBoard."""
    if any(directory.glob(f"*{START}")):
        write_end(directory, "failed")


def write(directory: Path, suffix: str, summary: Summary) -> None:
    remove(directory, suffix)
    writer = EventFileWriter(str(directory), filename_suffix=suffix)
    writer.add_event(Event(wall_time=time.time(), summary=summary))
    writer.close()


def remove(directory: Path, suffix: str) -> None:
    for file in directory.glob(f"events.out.tfevents.*{suffix}"):
        file.unlink()
