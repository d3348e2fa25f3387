"""Asterisk's manager interface (AMI): the link between the control plane and one node.

`AmiLink` implements the port `NodeLink`; panoramisk is imported by the session module alone.
"""

from control_plane.adapters.ami.address import AmiAddress, AmiTiming
from control_plane.adapters.ami.link import AmiLink

__all__ = ["AmiAddress", "AmiLink", "AmiTiming"]
