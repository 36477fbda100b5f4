"""The `gateway` command, ended by the system when the process that started it ends, however that ends."""

from gateway.cli import main
from gateway.worker import end_with_the_parent

if __name__ == "__main__":
    end_with_the_parent()
    main(prog_name="gateway")
