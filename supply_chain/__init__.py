"""What is in the images: bills of materials, licences, known vulnerabilities, builds that can be repeated."""
