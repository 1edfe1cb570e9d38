// Live tests wait for real servers; jest takes no timeout for one project alone in its configuration.
import { jest } from '@jest/globals'

jest.setTimeout(60_000)
