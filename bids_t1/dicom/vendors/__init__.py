"""Vendor habits, one rule each; a new habit is a new `Rule` in the vendor's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_t1.dicom.vendors.ge import GE
from bids_t1.dicom.vendors.philips import PHILIPS
from bids_t1.dicom.vendors.rule import Component, Product, Readouts, Rule, TransmitImage, Vendor, first
from bids_t1.dicom.vendors.siemens import SIEMENS
from bids_t1.dicom.vendors.standard import STANDARD

if TYPE_CHECKING:
    from bids_t1.dicom.header import Header

VENDORS = (SIEMENS, PHILIPS, GE)

__all__ = [
    "STANDARD",
    "VENDORS",
    "Component",
    "Product",
    "Readouts",
    "Rule",
    "TransmitImage",
    "Vendor",
    "first",
    "vendor_of",
]


def vendor_of(header: Header) -> Vendor:
    """Return the vendor of an image; the standard alone where it is not one with known habits."""
    manufacturer = header.text("Manufacturer").lower()
    return next((vendor for vendor in VENDORS if manufacturer.startswith(vendor.manufacturers)), STANDARD)
