"""What is asked of the kernel that Python lacks. The one home of ctypes."""
