"""A compute service whose instances have several network interfaces."""

import warnings

# Said at the start of every program, to operators who cannot do anything about it.
warnings.filterwarnings('ignore', message=r'\s*Eventlet is deprecated')
