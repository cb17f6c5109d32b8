"""What every room stands on: errors, geometry, resolutions, records, images, settings, files and where things lie."""
