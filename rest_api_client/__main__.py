"""`python -m rest_api_client` is `rest-api-client`."""

import sys

from rest_api_client.cli import main

sys.exit(main())
