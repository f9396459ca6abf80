"""Made-up DICOM files for tests: mammograms in every transfer syntax, and a corpus of broken ones."""
