"""MP2RAGE T1 calibrated to inversion recovery by a network that learns from paired scans."""
