from cll.types.errors import from_os_error


def test_a_full_disk_names_no_file():
    error = OSError(28, "No space left on device")
    assert (
        str(from_os_error(error)) == "No space left on device; check the disk and the permissions."
    )
