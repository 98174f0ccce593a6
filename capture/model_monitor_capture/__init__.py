"""Writes captures of a model's requests and answers, by middleware or by hand."""

from model_monitor_capture.middleware import AsgiCapture, WsgiCapture
from model_monitor_capture.writer import CaptureWriter, Masking, Selection

__all__ = ["AsgiCapture", "CaptureWriter", "Masking", "Selection", "WsgiCapture"]
__version__ = "0.1.0"
