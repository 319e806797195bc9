# A version that isn't there: must fail, or the version file is wrong.
find_package(transformer 99 REQUIRED)
